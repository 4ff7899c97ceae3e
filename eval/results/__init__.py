"""Results of training scripts as they lie on disk: who answered what, after which stage."""
