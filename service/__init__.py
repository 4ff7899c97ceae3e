"""The control plane: REST API, durable jobs, versions and aliases, engines, dashboard."""
