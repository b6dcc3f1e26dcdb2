"""The service for agents: a few tools by the Model Context Protocol, over the SDK and nothing else."""
