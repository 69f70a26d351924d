"""Kafka as bytes: ports, and their in-memory and confluent_kafka versions."""
