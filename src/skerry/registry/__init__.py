"""Device events in; devices, users, start tokens, apps and their keys."""
