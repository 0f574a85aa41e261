"""What is shown: the shapes of documents, as TypedDicts without dependencies, for the API, the CLI and the SDK."""
