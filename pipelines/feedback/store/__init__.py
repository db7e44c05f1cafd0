"""The database of events: its tables, their migrations, and what may be added, claimed and erased."""
