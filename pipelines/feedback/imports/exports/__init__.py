"""What other labelling tools export, as events. A mapping is made where it can only mean one thing."""
