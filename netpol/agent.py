"""The composition root of the live agent."""
