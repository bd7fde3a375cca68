package computeragents

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// codeValidation marks what the agents' pages call a validation error.
const codeValidation = "VALIDATION_FAILED"

// statusOfCode says where this dialect's status is not the kind's.
var statusOfCode = map[string]int{
	codeValidation:           http.StatusUnprocessableEntity,
	"IDEMPOTENCY_KEY_REUSED": http.StatusUnprocessableEntity,
	"MODEL_NOT_CONFIGURED":   http.StatusServiceUnavailable,
}

// words is what the body's "error" says for a status.
var words = map[int]string{
	http.StatusBadRequest:            "Bad Request",
	http.StatusUnauthorized:          "Unauthorized",
	http.StatusPaymentRequired:       "Payment Required",
	http.StatusForbidden:             "Forbidden",
	http.StatusNotFound:              "Not Found",
	http.StatusConflict:              "Conflict",
	http.StatusRequestEntityTooLarge: "Payload Too Large",
	http.StatusUnprocessableEntity:   "Validation Error",
	http.StatusTooManyRequests:       "Too many requests",
	http.StatusInternalServerError:   "Internal Server Error",
	http.StatusNotImplemented:        "Not Implemented",
	http.StatusServiceUnavailable:    "Service Unavailable",
	http.StatusInsufficientStorage:   "Insufficient Storage",
}

// refuse writes a failure as this dialect's clients read it.
func (a *API) refuse(c *gin.Context, f *fault.Error) (int, any) {
	status, body := Refuse(c, f)
	if f.Kind == fault.Payment {
		body.BudgetStatus = a.budgetStatus(c)
		body.Details = body.BudgetStatus // the only bag that older clients show
	}
	return status, body
}

// Refuse is a failure's status and body in this dialect's form, which the
// admin routes share.
func Refuse(c *gin.Context, f *fault.Error) (int, wire.Error) {
	status, ok := statusOfCode[f.Code]
	if !ok {
		status = door.Statuses[f.Kind]
	}
	body := wire.Error{Error: words[status], Message: f.Message, Code: f.Code, RequestID: door.RequestID(c)}
	if f.Code == "IDEMPOTENCY_KEY_REUSED" {
		body.Error = "Unprocessable Entity"
	}
	if f.Kind == fault.Full && f.Code == "" {
		body.Code = "INSUFFICIENT_STORAGE"
	}
	if f.Field != "" {
		body.Details = []wire.Detail{{Field: f.Field, Message: f.Message}}
	}
	return status, body
}

// budgetStatus is what a refused caller may want to know, as far as this
// node's replica has it.
func (a *API) budgetStatus(c *gin.Context) *wire.BudgetStatus {
	v := a.Records.StaleView()
	defer v.Close()
	account, err := v.Account(door.CallerOf(c).Account, a.Now())
	if err != nil {
		a.Log.WarnContext(c.Request.Context(), "budget not read", "request", door.RequestID(c), "err", err)
		return nil
	}
	return &wire.BudgetStatus{
		Balance: wire.USD(account.Balance), DailyLimit: limit(account.DailyLimit), DailySpent: wire.USD(account.DaySpent),
		MonthlyLimit: limit(account.MonthlyLimit), MonthlySpent: wire.USD(account.MonthSpent),
	}
}

func limit(m *state.MicroUSD) *wire.USD {
	if m == nil {
		return nil
	}
	usd := wire.USD(*m)
	return &usd
}
