"""Server-rendered pages: streams, versions with the matrix, jobs and their reviews."""
