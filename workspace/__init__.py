"""The project folder on disk: DVC's graph and cache, git, locks, processes, copies. Only this package calls DVC and git."""
