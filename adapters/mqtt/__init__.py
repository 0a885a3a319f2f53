"""MQTT brokers, 3.1.1 and 5.0: receives what they publish and publishes to them."""

from adapters.mqtt.adapter import Mqtt

__all__ = ["Mqtt"]
