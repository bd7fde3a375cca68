package wire

import (
	"bytes"
	"encoding/json"
)

// Optional tells apart what JSON can say of a field: absent (neither Set nor
// Null), null (Set and Null) or a value. Tag such a field omitzero.
type Optional[T any] struct {
	Set   bool
	Null  bool
	Value T
}

// Some is a field with a value.
func Some[T any](v T) Optional[T] { return Optional[T]{Set: true, Value: v} }

// Null is a field that is null.
func Null[T any]() Optional[T] { return Optional[T]{Set: true, Null: true} }

// Given reports whether there is a value.
func (o Optional[T]) Given() bool { return o.Set && !o.Null }

// IsZero reports whether the field is absent.
func (o Optional[T]) IsZero() bool { return !o.Set }

// MarshalJSON writes null or the value.
func (o Optional[T]) MarshalJSON() ([]byte, error) {
	if !o.Given() {
		return []byte("null"), nil
	}
	return json.Marshal(o.Value)
}

// UnmarshalJSON notes that the field was there, and whether as null.
func (o *Optional[T]) UnmarshalJSON(b []byte) error {
	o.Set = true
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		o.Null = true
		return nil
	}
	return json.Unmarshal(b, &o.Value)
}
