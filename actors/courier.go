package actors

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// toldAtOnce bounds the webhooks that are read as due in one round, and
	// toldTogether those that are told something at the same time.
	toldAtOnce   = 128
	toldTogether = 16
	// lookPause is how soon it is looked again at the earliest while nothing is due:
	// the records' time may come in steps.
	lookPause = 100 * time.Millisecond
	// deliveryTime bounds one try.
	deliveryTime = 10 * time.Second
	// maxDeliveryReply is how much of a reply is read, and thrown away, so that a
	// connection can be used again.
	maxDeliveryReply = 64 << 10
)

// deliveryWait is how long after each failed try the next one is: 5 s, then
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

// round tells each webhook that is due the first thing that waits for it, and says
// after how long to look again.
func (k *courier) round(ctx context.Context) (time.Duration, error) {
	var now time.Time
	waiting, err := view(ctx, k.cluster, func(v *state.View) (list []state.Webhook, err error) {
		if now, err = v.Now(k.now()); err != nil {
			return nil, err
		}
		return v.WaitingWebhooks(toldAtOnce)
	})
	if err != nil {
		return refire, err
	}
	due := slices.DeleteFunc(slices.Clone(waiting), func(w state.Webhook) bool { return w.NextAt.After(now) })
	switch {
	case len(waiting) == 0:
		return clockMaySlip, nil
	case len(due) == 0:
		return min(max(waiting[0].NextAt.Sub(now), lookPause), clockMaySlip), nil
	}
	if err := k.tellAll(ctx, due); err != nil {
		return refire, err
	}
	return 0, nil
}

// tellAll tells several webhooks something, some at the same time.
func (k *courier) tellAll(ctx context.Context, due []state.Webhook) error {
	var group sync.WaitGroup
	failures := make([]error, len(due))
	room := make(chan struct{}, toldTogether)
	for i, hook := range due {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			failures[i] = k.deliver(ctx, hook)
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// deliver makes one try and records it. What fails on this side is no failure of
// the webhook's.
func (k *courier) deliver(ctx context.Context, hook state.Webhook) error {
	d, message, err := k.news(ctx, hook)
	if err != nil || d.Number == 0 {
		return err
	}
	req, err := k.request(ctx, hook, d, message)
	if err != nil {
		return err
	}
	failure := k.send(ctx, req)
	if ctx.Err() != nil {
		return nil
	}
	if failure != nil {
		k.log.Debug("a webhook was not reached", "webhook", hook.ID, "try", d.Tries+1, "err", failure)
	}
	k.metrics.delivered(failure == nil)
	_, err = k.cluster.Apply(ctx, state.RecordDelivery{Webhook: d.Webhook, Number: d.Number, Try: d.Tries + 1, Arrived: failure == nil, Wait: deliveryWait(d.Tries + 1)})
	if fault.Is(err, fault.Moved) || fault.Is(err, fault.NotFound) {
		err = nil // somebody else told it, or it was deleted
	}
	return err
}

// hookNews is what a webhook is told. Of a task taskId and promptId are set, of a
// run threadId and runId; the others where the event has them.
type hookNews struct {
	Event       state.WebhookEvent  `json:"event"`
	TaskID      state.ThreadID      `json:"taskId,omitempty"`
	PromptID    state.RunID         `json:"promptId,omitempty"`
	ThreadID    state.ThreadID      `json:"threadId,omitempty"`
	RunID       state.RunID         `json:"runId,omitempty"`
	Title       string              `json:"title,omitempty"`
	Workspace   state.ComputerID    `json:"workspaceId,omitempty"`
	Executor    string              `json:"executor,omitempty"`
	ComputerID  state.ComputerID    `json:"computerId,omitempty"`
	Handle      string              `json:"handle,omitempty"`
	Environment state.EnvironmentID `json:"environmentId,omitempty"`
	BuildID     state.BuildID       `json:"buildId,omitempty"`
	Error       string              `json:"error,omitempty"`
	Timestamp   time.Time           `json:"timestamp"`
}

// newsOf completes a delivery by what the records have now.
func newsOf(v *state.View, d state.Delivery) (l hookNews, err error) {
	l = hookNews{Event: d.Event, ComputerID: d.Computer, BuildID: d.Build, Error: d.Reason, Timestamp: d.At.UTC()}
	if strings.HasPrefix(string(d.Event), "task.") {
		l.TaskID, l.PromptID = d.Thread, d.Run
	} else {
		l.ThreadID, l.RunID = d.Thread, d.Run
	}
	if d.Thread != "" {
		t, ok, err := v.AnyThread(d.Thread)
		if err != nil {
			return l, err
		}
		if ok {
			l.Title = t.Title
		}
		if ok && l.TaskID != "" && t.Task != nil {
			l.Workspace, l.Executor = t.Computer, t.Task.Executor
		}
	}
	if d.Computer != "" {
		c, _, err := v.AnyComputer(d.Computer)
		if err != nil {
			return l, err
		}
		l.Handle, l.Environment = c.Handle, c.Environment
	}
	if d.Build != "" {
		b, _, err := v.AnyBuild(d.Build)
		if err != nil {
			return l, err
		}
		l.Environment = b.Environment
	}
	return l, nil
}

// news is the first thing that waits for a webhook; Number is 0 when nothing does
// any more.
func (k *courier) news(ctx context.Context, hook state.Webhook) (d state.Delivery, message []byte, err error) {
	var l hookNews
	d, err = view(ctx, k.cluster, func(v *state.View) (state.Delivery, error) {
		d, ok, err := v.NextDelivery(hook.ID)
		if err != nil || !ok {
			return state.Delivery{}, err
		}
		l, err = newsOf(v, d)
		return d, err
	})
	if err != nil {
		return d, nil, err
	}
	message, err = json.Marshal(l)
	return d, message, err
}

// request is signed as Standard Webhooks 1.0.0 has it for asymmetric keys
// (https://www.standardwebhooks.com): ed25519 over "<id>.<seconds>.<body>".
func (k *courier) request(ctx context.Context, hook state.Webhook, d state.Delivery, message []byte) (*http.Request, error) {
	key, err := k.signer.key(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(message))
	if err != nil {
		return nil, fmt.Errorf("make a request to webhook %s: %w", hook.ID, err)
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
			return nil, fmt.Errorf("open the secret of webhook %s: %w", hook.ID, err)
		}
		req.Header.Set("X-Webhook-Secret", string(secret))
	}
	return req, nil
}

// send makes one request, of deliveryTime at most. A reply of 2xx is an arrival; a
// redirect is none.
func (k *courier) send(ctx context.Context, req *http.Request) error {
	ctx, cancel := context.WithTimeout(ctx, deliveryTime)
	defer cancel()
	resp, err := k.client.Do(req.WithContext(ctx))
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
