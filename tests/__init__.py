"""The tests: unit, contract, boot, integration, chaos, frameworks and typing, with what they share beside this file."""
