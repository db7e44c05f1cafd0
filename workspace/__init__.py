"""The project folder and what keeps it: DVC's graph, git, locks, processes, copies. Only here are DVC and git called."""
