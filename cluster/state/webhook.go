package state

import (
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

const (
	// MaxWebhooks bounds the webhooks of one account.
	MaxWebhooks = 3
	// MaxDeliveries bounds what waits to be delivered to one webhook; what comes
	// on top is dropped and counted.
	MaxDeliveries = 1000
	// MaxDeliveryTries is how often one delivery is tried before it is given up.
	MaxDeliveryTries = 8
	// MaxWebhookFailures is how many deliveries in a row are given up before a
	// webhook is disabled.
	MaxWebhookFailures = 5
)

// CodeLimit marks what an account has as many of as it may.
const CodeLimit = "LIMIT_EXCEEDED"

// Webhook is an address that is told what becomes of an account's tasks, runs,
// computers and builds.
type Webhook struct {
	ID          WebhookID      `cbor:"1,keyasint"`
	Account     AccountID      `cbor:"2,keyasint"`
	URL         string         `cbor:"3,keyasint"`
	Events      []WebhookEvent `cbor:"4,keyasint"`
	Description string         `cbor:"5,keyasint"`
	Sealed      []byte         `cbor:"6,keyasint"`  // the secret it is sent with; nil is none
	Disabled    bool           `cbor:"7,keyasint"`  // by MaxWebhookFailures
	Failures    int            `cbor:"8,keyasint"`  // deliveries given up since the last that arrived
	Dropped     int64          `cbor:"9,keyasint"`  // for which there was no room
	Sent        uint64         `cbor:"10,keyasint"` // numbers its deliveries
	CreatedAt   time.Time      `cbor:"11,keyasint"`
	LastAt      time.Time      `cbor:"12,keyasint"` // of the last try; zero is never
	Waiting     int            `cbor:"13,keyasint"` // deliveries that it is still to get, in turn
	NextAt      time.Time      `cbor:"14,keyasint"` // when the first of them is tried next
}

var webhooks = table[Webhook]{
	name: "webhook", noun: "Webhook",
	id: func(w Webhook) string { return string(w.ID) },
	indexes: []index[Webhook]{
		{"account", func(w Webhook) ([]string, string, bool) {
			return []string{string(w.Account)}, stampText(w.CreatedAt), true
		}},
		{"due", func(w Webhook) ([]string, string, bool) { return nil, stampText(w.NextAt), w.Waiting > 0 }},
	},
	sealed: func(w *Webhook) []sealedPlace {
		return []sealedPlace{{SealedAs(w.Account, SealedWebhook, string(w.ID)), &w.Sealed}}
	},
}

// Delivery is something that a webhook is still to be told.
type Delivery struct {
	Webhook  WebhookID    `cbor:"1,keyasint"`
	Number   uint64       `cbor:"2,keyasint"` // of the webhook's, from 1
	Event    WebhookEvent `cbor:"3,keyasint"`
	Thread   ThreadID     `cbor:"4,keyasint"` // the task, or the run's; "" where the event is of none
	Run      RunID        `cbor:"5,keyasint"` // "" where the event is of none
	At       time.Time    `cbor:"6,keyasint"` // when it happened
	Tries    int          `cbor:"7,keyasint"`
	Computer ComputerID   `cbor:"8,keyasint,omitempty"`
	Build    BuildID      `cbor:"9,keyasint,omitempty"`
	Reason   string       `cbor:"10,keyasint,omitempty"` // of a failure
}

// ID names a delivery, the same at each try.
func (d Delivery) ID() string { return string(d.Webhook) + "-" + encodeText(d.Number) }

var deliveries = table[Delivery]{
	name: "delivery", noun: "Delivery",
	id: Delivery.ID,
	indexes: []index[Delivery]{
		{"webhook", func(d Delivery) ([]string, string, bool) {
			return []string{string(d.Webhook)}, encodeText(d.Number), true
		}},
	},
}

// Webhooks lists an account's webhooks, newest first.
func (v *View) Webhooks(account AccountID) (List[Webhook], error) {
	return webhooks.page(v.r, "account", []string{string(account)}, Page{Limit: MaxWebhooks}, nil)
}

// Webhook returns a webhook of an account.
func (v *View) Webhook(account AccountID, id WebhookID) (Webhook, error) {
	w, err := webhooks.get(v.r, string(id))
	return owned(w, err, w.Account == account, webhooks.noun, string(id))
}

// AnyWebhook returns a webhook of any account, for those who act on records.
func (v *View) AnyWebhook(id WebhookID) (Webhook, bool, error) { return webhooks.find(v.r, string(id)) }

// WaitingWebhooks are up to n webhooks that are still to be told something, in
// the order of their next tries.
func (v *View) WaitingWebhooks(n int) (list []Webhook, err error) {
	err = webhooks.each(v.r, "due", nil, false, func(w Webhook) bool {
		list = append(list, w)
		return len(list) < n
	})
	return list, err
}

// NextDelivery is what a webhook is told next, or false.
func (v *View) NextDelivery(id WebhookID) (next Delivery, ok bool, err error) {
	err = deliveries.each(v.r, "webhook", []string{string(id)}, false, func(d Delivery) bool {
		next, ok = d, true
		return false
	})
	return next, ok, err
}

// CreateWebhook makes a webhook, or changes what an address that has one is
// told. It replies with Made.
type CreateWebhook struct {
	Webhook     Webhook      `cbor:"1,keyasint"`
	Idempotency *Idempotency `cbor:"2,keyasint,omitempty"`
}

func (cmd CreateWebhook) apply(tx *Tx) error {
	w := cmd.Webhook
	have, err := tx.Webhooks(w.Account)
	if err != nil {
		return err
	}
	for _, h := range have.Items {
		if h.URL == w.URL {
			w.ID = h.ID
		}
	}
	if done, err := tx.once(w.Account, cmd.Idempotency, Resource{"webhook", string(w.ID)}); err != nil || done {
		return err
	}
	if _, known, err := tx.AnyWebhook(w.ID); err != nil || known {
		return err // the same address again is the same webhook
	}
	for _, e := range w.Events {
		if !slices.Contains(WebhookEvents(), e) {
			return fault.New(fault.Invalid, "events has %.40q, which is no event", e).WithField("events")
		}
	}
	if have.Total >= MaxWebhooks {
		return fault.New(fault.Conflict, "an account has at most %d webhooks; delete one", MaxWebhooks).WithCode(CodeLimit)
	}
	w.Disabled, w.Failures, w.Dropped, w.Sent, w.Waiting = false, 0, 0, 0, 0
	w.CreatedAt, w.LastAt, w.NextAt = tx.now, time.Time{}, time.Time{}
	return webhooks.create(tx.w, w)
}

// DeleteWebhook removes a webhook and what it was still to be told.
type DeleteWebhook struct {
	Account AccountID `cbor:"1,keyasint"`
	Webhook WebhookID `cbor:"2,keyasint"`
}

func (cmd DeleteWebhook) apply(tx *Tx) error {
	w, err := tx.Webhook(cmd.Account, cmd.Webhook)
	if err != nil {
		return err
	}
	if err := tx.dropDeliveries(w.ID); err != nil {
		return err
	}
	return webhooks.remove(tx.w, string(w.ID))
}

func (tx *Tx) dropDeliveries(id WebhookID) error {
	var waiting []string
	err := deliveries.each(tx.w, "webhook", []string{string(id)}, false, func(d Delivery) bool {
		waiting = append(waiting, d.ID())
		return true
	})
	for _, d := range waiting {
		if err == nil {
			err = deliveries.remove(tx.w, d)
		}
	}
	return err
}

// announce has the account's webhooks told of something.
func (tx *Tx) announce(account AccountID, d Delivery) error {
	have, err := tx.Webhooks(account)
	if err != nil {
		return err
	}
	for _, w := range have.Items {
		if w.Disabled || !slices.Contains(w.Events, d.Event) {
			continue
		}
		if w.Waiting >= MaxDeliveries {
			w.Dropped++
		} else if err := tx.await(&w, d); err != nil {
			return err
		}
		if err := webhooks.put(tx.w, w); err != nil {
			return err
		}
	}
	return nil
}

// await puts a delivery behind those that a webhook waits for. The caller puts the
// webhook.
func (tx *Tx) await(w *Webhook, d Delivery) error {
	if w.Waiting == 0 {
		w.NextAt = tx.now
	}
	w.Waiting++
	w.Sent++
	d.Webhook, d.Number, d.At = w.ID, w.Sent, tx.now
	tx.changed(Change{Noun: ChangedWebhook, ID: string(w.ID)})
	return deliveries.create(tx.w, d)
}

// RecordDelivery says how a try to deliver came out. It is refused with Moved
// unless Try counts the one that was due, so that who leads no more changes
// nothing.
type RecordDelivery struct {
	Webhook WebhookID     `cbor:"1,keyasint"`
	Number  uint64        `cbor:"2,keyasint"`
	Try     int           `cbor:"3,keyasint"` // 1 for the first
	Arrived bool          `cbor:"4,keyasint"`
	Wait    time.Duration `cbor:"5,keyasint"` // until the next try, when it did not arrive
}

func (cmd RecordDelivery) apply(tx *Tx) error {
	d, ok, err := deliveries.find(tx.w, Delivery{Webhook: cmd.Webhook, Number: cmd.Number}.ID())
	if err != nil {
		return err
	}
	if !ok || cmd.Try != d.Tries+1 {
		return fault.New(fault.Moved, "delivery %d of webhook %s is not at try %d", cmd.Number, cmd.Webhook, cmd.Try)
	}
	w, err := webhooks.get(tx.w, string(cmd.Webhook))
	if err != nil {
		return err
	}
	w.LastAt, w.NextAt, d.Tries = tx.now, tx.now.Add(cmd.Wait), cmd.Try
	switch {
	case cmd.Arrived:
		w.Failures, w.NextAt, w.Waiting = 0, tx.now, w.Waiting-1
		err = deliveries.remove(tx.w, d.ID())
	case d.Tries < MaxDeliveryTries:
		err = deliveries.put(tx.w, d)
	default:
		w.Failures, w.Waiting = w.Failures+1, w.Waiting-1
		if err = deliveries.remove(tx.w, d.ID()); err == nil && w.Failures >= MaxWebhookFailures {
			w.Disabled, w.Waiting = true, 0
			err = tx.dropDeliveries(w.ID)
		}
	}
	if err != nil {
		return err
	}
	return webhooks.put(tx.w, w)
}
