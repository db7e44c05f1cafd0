"""The core that all stages share: project, files, images, rows, reports, processes. It imports no stage and no plug-in."""
