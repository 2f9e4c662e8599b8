"""The CustomResourceDefinitions, the chart's copy of them and their reference page, generated from the types."""

from tailrace_operator.crds.definitions import custom_resource_definitions, text_of
from tailrace_operator.crds.schema import structural_schema

__all__ = ["custom_resource_definitions", "structural_schema", "text_of"]
