//! Tests over every generated method.
