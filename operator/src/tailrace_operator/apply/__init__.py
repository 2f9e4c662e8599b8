"""Carrying out what `render` decided: create or update, and leave alone what is right already."""
