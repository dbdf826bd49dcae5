"""Files: content-addressed blobs and the vector store."""
