package admin

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// maxAuditPage bounds a page of the audit log.
	maxAuditPage = 1000
	// maxFilterBytes bounds what records are picked by.
	maxFilterBytes = 128
	// clusterOwn picks the audit records of what is no account's.
	clusterOwn = "cluster"
)

// listAudit serves GET /v1/admin/audit: what was done to the things of the
// caller's account; with an admin key, of ?account= or of all.
func (a *API) listAudit(c *gin.Context) error {
	q, err := auditQuery(c)
	if err != nil {
		return err
	}
	var page state.AuditPage
	err = a.LookAll(c, func(v *state.View) (err error) {
		page, err = v.Audit(q)
		return err
	})
	if err != nil {
		return err
	}
	reply := wire.AuditPage{Object: "list", Data: make([]wire.AuditRecord, 0, len(page.Records))}
	for _, rec := range page.Records {
		reply.Data = append(reply.Data, a.auditOf(rec))
	}
	if page.Next != 0 {
		next := strconv.FormatUint(page.Next, 10)
		reply.Next = &next
	}
	a.ok(c, reply)
	return nil
}

func auditQuery(c *gin.Context) (q state.AuditQuery, err error) {
	if q.Account, err = auditAccount(c); err != nil {
		return q, err
	}
	for name, field := range map[string]*string{"actor": &q.Actor, "action": &q.Action, "resource": &q.Resource} {
		if *field = c.Query(name); len(*field) > maxFilterBytes {
			return q, invalid(name, "%s must be at most %d bytes", name, maxFilterBytes)
		}
	}
	if q.Since, err = door.Since(c, "since"); err != nil {
		return q, err
	}
	if q.Until, err = door.Since(c, "until"); err != nil {
		return q, err
	}
	page, err := door.PageUpTo(c, maxAuditPage)
	if err != nil {
		return q, err
	}
	if q.Limit = page.Limit; c.Query("limit") == "" {
		q.Limit = door.DefaultLimit
	}
	switch class := c.Query("class"); class {
	case "":
	case "changes":
		q.Class = state.AuditChange
	case "uses":
		q.Class = state.AuditUse
	default:
		return q, invalid("class", "class must be changes or uses")
	}
	switch order := c.Query("order"); order {
	case "", "desc":
	case "asc":
		q.Oldest = true
	default:
		return q, invalid("order", "order must be asc or desc")
	}
	if cursor := c.Query("cursor"); cursor != "" {
		if q.Cursor, err = strconv.ParseUint(cursor, 10, 64); err != nil || q.Cursor == 0 {
			return q, invalid("cursor", "cursor must be the next of a page")
		}
	}
	return q, nil
}

// auditAccount is whose records are asked for; nil is everybody's.
func auditAccount(c *gin.Context) (*state.AccountID, error) {
	caller := door.CallerOf(c)
	asked := state.AccountID(c.Query("account"))
	switch {
	case asked == "self", asked == "" && !caller.Key.Admin, asked == caller.Account:
		return &caller.Account, nil
	case !caller.Key.Admin:
		return nil, fault.New(fault.Forbidden, "Only an admin key sees what was done to other accounts' things").WithField("account")
	case asked == "":
		return nil, nil
	case asked == clusterOwn:
		own := state.AccountID("")
		return &own, nil
	case !door.LooksLikeID(string(asked)):
		return nil, invalid("account", "account is not an id: %s", strconv.QuoteToASCII(string(asked)))
	}
	return &asked, nil
}

func (a *API) auditOf(rec state.AuditRecord) wire.AuditRecord {
	w := wire.AuditRecord{ID: strconv.FormatUint(rec.Seq, 10), At: wire.At(rec.At), Action: rec.Action, AccountID: given(rec.Account),
		Resource: wire.AuditResource{Kind: rec.Resource.Kind, ID: rec.Resource.ID}, ComputerID: given(rec.Computer), Detail: given(rec.Detail),
		Actor:     wire.AuditActor{AccountID: given(rec.By.Account), UserID: given(rec.By.User), KeyID: given(rec.By.Key)},
		RequestID: given(rec.By.Request), Count: max(rec.Count, 1)}
	if !rec.Since.IsZero() {
		first := wire.At(rec.Since)
		w.FirstAt = &first
	}
	if rec.Node != "" {
		name := a.Records.NodeName(rec.Node)
		w.Actor.Node = &name
	}
	return w
}

// given is a text as a value that may be absent.
func given[T ~string](text T) *string {
	if text == "" {
		return nil
	}
	s := string(text)
	return &s
}
