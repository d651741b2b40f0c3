"""What the caller is told about what it sent."""
