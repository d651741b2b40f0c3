"""The web console's built files and nothing else."""
