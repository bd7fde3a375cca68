package actors

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// deliveredAtOnce bounds the deliveries that are read as due in one round,
	// and deliveredTogether those that are under way at the same time.
	deliveredAtOnce   = 128
	deliveredTogether = 16
	// deliveryTime bounds one try.
	deliveryTime = 10 * time.Second
	// maxDeliveryReply is how much of a reply is read, and thrown away, so that a
	// connection can be used again.
	maxDeliveryReply = 64 << 10
)

// deliveryWaits are how long after each failed try the next one is: 5 s, then
// three times as long as before, up to an hour.
func deliveryWait(try int) time.Duration {
	wait := 5 * time.Second
	for range try - 1 {
		wait = min(3*wait, time.Hour)
	}
	return wait
}

// courier tells webhooks what they are to be told, on the node that leads. That
// each thing is told at least once is the records' doing; a try whose outcome
// was not recorded is made again, with the same id.
type courier struct {
	cluster Cluster
	vault   vault
	signer  *webhookSigner
	client  *http.Client
	metrics *metrics
	log     *slog.Logger
	now     func() time.Time
	wake    chan struct{} // has a value when there may be something new to tell
}

// carry delivers until ctx ends.
func (k *courier) carry(ctx context.Context) {
	whileLeading(ctx, k.cluster, k.wake, k.round, func(err error) { k.log.Warn("deliver to webhooks", "err", err) })
}

// round delivers what is due and says after how long to look again.
func (k *courier) round(ctx context.Context) (time.Duration, error) {
	for {
		waiting, err := view(ctx, k.cluster, func(v *state.View) ([]state.Delivery, error) { return v.Deliveries(deliveredAtOnce) })
		if err != nil {
			return refire, err
		}
		now := k.now()
		due := waiting[:0:0]
		for _, d := range waiting {
			if !d.NextAt.After(now) {
				due = append(due, d)
			}
		}
		if len(due) == 0 {
			if len(waiting) == 0 {
				return clockMaySlip, nil
			}
			return min(waiting[0].NextAt.Sub(now), clockMaySlip), nil
		}
		if err := k.deliverAll(ctx, due); err != nil {
			return refire, err
		}
	}
}

// deliverAll tells several webhooks at the same time, each of them one thing
// after the other.
func (k *courier) deliverAll(ctx context.Context, due []state.Delivery) error {
	byHook := map[state.WebhookID][]state.Delivery{}
	for _, d := range due {
		byHook[d.Webhook] = append(byHook[d.Webhook], d)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var failed error
	room := make(chan struct{}, deliveredTogether)
	for _, list := range byHook {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			for _, d := range list {
				arrived, err := k.deliver(ctx, d)
				if err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
				if !arrived {
					return // what follows waits for its turn
				}
			}
		})
	}
	group.Wait()
	return failed
}

// deliver makes one try and records it.
func (k *courier) deliver(ctx context.Context, d state.Delivery) (arrived bool, err error) {
	hook, message, err := k.news(ctx, d)
	if fault.Is(err, fault.NotFound) {
		return true, nil // deleted meanwhile, and the delivery with it
	}
	if err != nil {
		return false, err
	}
	failure := k.send(ctx, hook, d, message)
	if ctx.Err() != nil {
		return false, nil
	}
	if failure != nil {
		k.log.Debug("a webhook was not reached", "webhook", hook.ID, "try", d.Tries+1, "err", failure)
	}
	k.metrics.delivered(failure == nil)
	_, err = k.cluster.Apply(ctx, state.RecordDelivery{Webhook: d.Webhook, Number: d.Number, Try: d.Tries + 1, Arrived: failure == nil, Wait: deliveryWait(d.Tries + 1)})
	if fault.Is(err, fault.Moved) || fault.Is(err, fault.NotFound) {
		err = nil // somebody else told it, or it was deleted
	}
	return failure == nil, err
}

// taskNews is what a webhook is told.
type taskNews struct {
	Event     state.TaskEvent `json:"event"`
	TaskID    state.ThreadID  `json:"taskId"`
	PromptID  state.RunID     `json:"promptId,omitempty"`
	Title     string          `json:"title,omitempty"`
	Computer  string          `json:"workspaceId,omitempty"`
	Executor  string          `json:"executor,omitempty"`
	Timestamp time.Time       `json:"timestamp"`
}

func (k *courier) news(ctx context.Context, d state.Delivery) (hook state.Webhook, message []byte, err error) {
	l := taskNews{Event: d.Event, TaskID: d.Task, PromptID: d.Run, Timestamp: d.At.UTC()}
	hook, err = view(ctx, k.cluster, func(v *state.View) (hook state.Webhook, err error) {
		hook, ok, err := v.AnyWebhook(d.Webhook)
		if err == nil && !ok {
			err = fault.New(fault.NotFound, "webhook %s was deleted", d.Webhook)
		}
		if err != nil {
			return hook, err
		}
		t, ok, err := v.AnyThread(d.Task)
		if ok && t.Task != nil {
			l.Title, l.Computer, l.Executor = t.Title, string(t.Computer), t.Task.Executor
		}
		return hook, err
	})
	if err != nil {
		return hook, nil, err
	}
	message, err = json.Marshal(l)
	return hook, message, err
}

// send makes one request. It is signed as Standard Webhooks 1.0.0 has it for
// asymmetric keys (https://www.standardwebhooks.com): ed25519 over
// "<id>.<seconds>.<body>". A reply of 2xx is an arrival; a redirect is none.
func (k *courier) send(ctx context.Context, hook state.Webhook, d state.Delivery, message []byte) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	key, err := k.signer.key(ctx)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(message))
	if err != nil {
		return fmt.Errorf("make a request: %w", err)
	}
	at := strconv.FormatInt(k.now().Unix(), 10)
	signed := ed25519.Sign(key, []byte(d.ID()+"."+at+"."+string(message)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "bothy-webhooks")
	req.Header.Set("Webhook-Id", d.ID())
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1a,"+base64.StdEncoding.EncodeToString(signed))
	if len(hook.Sealed) > 0 {
		secret, err := k.vault.sealer.Open(webhookAAD(hook), hook.Sealed)
		if err != nil {
			return fmt.Errorf("open the secret of a webhook: %w", err)
		}
		req.Header.Set("X-Webhook-Secret", string(secret))
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return fmt.Errorf("reach it: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxDeliveryReply) // what it says does not matter
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("it answered %s", resp.Status)
	}
	return nil
}

// courierClient follows no redirect: a webhook is told where it is.
func courierClient(way http.RoundTripper) *http.Client {
	return &http.Client{Transport: way, Timeout: deliveryTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
