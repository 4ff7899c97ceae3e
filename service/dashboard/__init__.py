"""Server-rendered pages: streams, versions with the matrix, jobs. A review is decided on there too."""
