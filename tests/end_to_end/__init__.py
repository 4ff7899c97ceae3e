"""The whole loop on real components: service process, DeepSpeed trainer, vLLM, retain-tiny."""
