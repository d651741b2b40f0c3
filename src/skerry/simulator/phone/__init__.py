"""A device as a state machine, the app's reports to the service, and a Lock Screen to look at."""
