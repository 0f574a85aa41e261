"""`offload doctor`: finds problems before they occur. So far it checks code."""
