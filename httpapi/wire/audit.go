package wire

// AuditRecord says who did what to what.
type AuditRecord struct {
	ID        string        `json:"id"` // a number that grows
	At        Time          `json:"at"`
	Action    string        `json:"action"`    // noun.verb, such as key.revoke
	AccountID *string       `json:"accountId"` // whose thing it was done to; null is the cluster's own
	Resource  AuditResource `json:"resource"`
	// ComputerID is the computer that the resource is or belongs to.
	ComputerID *string    `json:"computerId"`
	Detail     *string    `json:"detail"` // for people
	Actor      AuditActor `json:"actor"`
	RequestID  *string    `json:"requestId"` // null for what a node did by itself
	// Count is how often it was done since FirstAt, which is null for what was
	// recorded as it was done: always once.
	Count   int   `json:"count"`
	FirstAt *Time `json:"firstAt"`
}

// AuditResource is what something was done to.
type AuditResource struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// AuditActor is who did something: a key of a user of an account, or the node
// by itself. Node is there for both: the request came to it.
type AuditActor struct {
	AccountID *string `json:"accountId"`
	UserID    *string `json:"userId"`
	KeyID     *string `json:"keyId"`
	Node      *string `json:"node"` // its name
}

// AuditPage is a part of the audit log. Where Next is not null there may be
// more, with it as the cursor, even after a page that is short or empty.
type AuditPage struct {
	Object string        `json:"object"` // always "list"
	Data   []AuditRecord `json:"data"`
	Next   *string       `json:"next"`
}
