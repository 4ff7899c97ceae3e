"""Server-rendered pages: streams, versions with the matrix, jobs. Read-only."""
