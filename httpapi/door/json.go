package door

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// MaxJSONDepth bounds how deep objects and arrays may be nested in a body.
const MaxJSONDepth = 32

// Decode reads a JSON object strictly: one object and nothing after it, types
// as declared, UTF-8, no NUL. A failure is Invalid; Field is set when it lies
// in one field. Unknown fields are left to newer builds.
func Decode(raw []byte, into any) error {
	if err := scan(raw); err != nil {
		return err
	}
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || trimmed[0] != '{' {
		return fault.New(fault.Invalid, "The body must be a JSON object")
	}
	err := json.Unmarshal(raw, into)
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	var corrupt base64.CorruptInputError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return fault.New(fault.Invalid, "The body is not valid JSON: %v (at byte %d)", syntax, syntax.Offset)
	case errors.As(err, &typed):
		return wrongType(typed)
	case errors.As(err, &corrupt):
		return fault.New(fault.Invalid, "The body has a base64 field that is not base64: %v", corrupt)
	}
	return fault.New(fault.Invalid, "The body cannot be read: %v", err)
}

func wrongType(err *json.UnmarshalTypeError) error {
	if err.Field == "" {
		return fault.New(fault.Invalid, "The body must be a JSON object")
	}
	return fault.New(fault.Invalid, "%s must be %s, not %s", err.Field, wordFor(err.Type), err.Value).WithField(err.Field)
}

func wordFor(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return "a whole number"
	}
	return fmt.Sprintf("a %s", t.Kind())
}

// scan refuses what the decoder would take and we do not: nesting beyond the
// bound, bytes that are not UTF-8, and NUL characters, which end up in names,
// keys and command lines.
func scan(raw []byte) error {
	if !utf8.Valid(raw) {
		return fault.New(fault.Invalid, "The body is not UTF-8 text")
	}
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch b := raw[i]; {
		case b == 0:
			return nul()
		case quoted && b == '\\':
			if bytes.HasPrefix(raw[i:], []byte(`\u0000`)) {
				return nul()
			}
			i++ // what is escaped cannot end the string
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > MaxJSONDepth {
				return fault.New(fault.Invalid, "The body is nested deeper than %d levels", MaxJSONDepth)
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return nil
}

func nul() error { return fault.New(fault.Invalid, "The body holds a NUL character") }
