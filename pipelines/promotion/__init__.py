"""When a new version becomes the champion: what the gate says, the history of moves, and where a version comes from."""
