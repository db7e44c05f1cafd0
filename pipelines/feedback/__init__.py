"""What people say about the pictures: events, the store that keeps them, and their import from files."""
