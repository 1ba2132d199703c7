"""Real servers for the demo and the tests: on loopback, on free ports, in a given folder, gone with their starter."""
