"""What a version learned and forgot: its report, and the accuracy matrix of its lineage."""
