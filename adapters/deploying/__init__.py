"""Deploying files of DAGs: where they may lie, the change on disk that is whole or undone, and the versions kept."""
