"""Commands and token events in; revisions and card decisions out."""
