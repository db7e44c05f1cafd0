"""The training of external models: a folder of the user's own, a command in processes of its own, and what came of it."""
