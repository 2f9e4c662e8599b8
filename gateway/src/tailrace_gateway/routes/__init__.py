"""Routes: parse, call the decision, carry it out. Nothing here knows how a log is read or written."""
