"""What runs on the JVM: its jars by locked version and checksum, a Java to run them, a compiler for our launcher."""
