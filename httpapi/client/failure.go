package client

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// kinds turns a status back into the kind of failure it was.
var kinds = map[int]fault.Kind{
	http.StatusBadRequest:            fault.Invalid,
	http.StatusUnauthorized:          fault.Unauthorized,
	http.StatusPaymentRequired:       fault.Payment,
	http.StatusForbidden:             fault.Forbidden,
	http.StatusNotFound:              fault.NotFound,
	http.StatusMethodNotAllowed:      fault.Invalid,
	http.StatusConflict:              fault.Conflict,
	http.StatusRequestEntityTooLarge: fault.TooLarge,
	http.StatusUnprocessableEntity:   fault.Invalid,
	http.StatusTooManyRequests:       fault.Exhausted,
	http.StatusInternalServerError:   fault.Internal,
	http.StatusNotImplemented:        fault.Unsupported,
	http.StatusBadGateway:            fault.Unavailable,
	http.StatusServiceUnavailable:    fault.Unavailable,
	http.StatusGatewayTimeout:        fault.Unavailable,
	http.StatusInsufficientStorage:   fault.Full,
}

// codeReused is a conflict that its dialect answers with 422.
const codeReused = "IDEMPOTENCY_KEY_REUSED"

// maxErrorBytes bounds how much of an error's body is read.
const maxErrorBytes = 64 << 10

// refusal reads a reply that is no success.
func refusal(resp *http.Response) error {
	// What was read of a body that breaks off may still be the whole error.
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	var body wire.Error
	var other struct{ Error wire.Error } // Agent Computer's, with a code and a message
	switch {
	case json.Unmarshal(b, &body) == nil && body.Message != "":
	case json.Unmarshal(b, &other) == nil && other.Error.Message != "":
		body = wire.Error{Message: other.Error.Message, Code: strings.ToUpper(other.Error.Code)}
	default:
		body = wire.Error{Message: "HTTP " + strconv.Itoa(resp.StatusCode)}
	}
	err := refused(resp.StatusCode, body, b)
	if seconds, parseErr := strconv.Atoi(resp.Header.Get("Retry-After")); parseErr == nil {
		err = err.WithRetry(time.Duration(seconds) * time.Second)
	}
	return err
}

func refused(status int, body wire.Error, raw []byte) *fault.Error {
	kind, ok := kinds[status]
	if !ok {
		kind = fault.Internal
	}
	if body.Code == codeReused {
		kind = fault.Conflict
	}
	err := fault.New(kind, "%s", body.Message).WithCode(body.Code)
	var details struct {
		Details []wire.Detail `json:"details"`
	}
	// Details are of another form for some failures; they name no field then.
	if json.Unmarshal(raw, &details) == nil && len(details.Details) > 0 {
		err = err.WithField(details.Details[0].Field)
	}
	return err
}

// unreachable is the failure of a node that did not answer.
func unreachable(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "the node did not answer: %w", err).WithCode("UNREACHABLE")
}

// neverSent reports whether a request failed before any of it went out.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}
