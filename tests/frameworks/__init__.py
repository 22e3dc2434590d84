"""The agent beside what real programs bring along: forking servers, tracing agents, crowds of producers."""
