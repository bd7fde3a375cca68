package rebyte

import (
	"context"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Webhooks are told what becomes of an account's things.
type Webhooks interface {
	// Create finds the webhook that an address has already.
	Create(context.Context, actors.Caller, actors.NewWebhook) (state.Webhook, error)
	Delete(context.Context, actors.Caller, state.WebhookID) error
	// PublicKey is what deliveries are signed with, as PEM.
	PublicKey(context.Context) (string, error)
}

func (a *API) webhookRoutes() []door.Route {
	reading, writing := []string{"webhooks:read"}, []string{"webhooks:write"}
	return []door.Route{
		{Method: "POST", Path: "/webhooks", Scopes: writing, Serve: a.Handle(a.createWebhook)},
		{Method: "GET", Path: "/webhooks", Scopes: reading, Serve: a.Handle(a.listWebhooks)},
		{Method: "GET", Path: "/webhooks/public_key", Scopes: reading, Serve: a.Handle(a.webhookKey)},
		{Method: "GET", Path: "/webhooks/:id", Scopes: reading, Serve: a.Handle(a.getWebhook)},
		{Method: "DELETE", Path: "/webhooks/:id", Scopes: writing, Serve: a.Handle(a.deleteWebhook)},
	}
}

const (
	maxURLBytes          = 2048
	maxDescriptionRunes  = 500
	maxWebhookSecretSize = 500
)

func webhookOf(w state.Webhook) wire.Webhook {
	shown := wire.Webhook{ID: string(w.ID), URL: w.URL, Events: []string{}, Description: maybe(w.Description), HasSecret: len(w.Sealed) > 0,
		IsActive: !w.Disabled, CreatedAt: wire.At(w.CreatedAt), FailureCount: w.Failures}
	for _, e := range w.Events {
		shown.Events = append(shown.Events, string(e))
	}
	if !w.LastAt.IsZero() {
		at := wire.At(w.LastAt)
		shown.LastTriggeredAt = &at
	}
	return shown
}

// createWebhook serves POST /webhooks.
func (a *API) createWebhook(c *gin.Context) error {
	var req wire.WriteWebhook
	if err := a.Read(c, &req); err != nil {
		return err
	}
	switch {
	case req.URL == "" || len(req.URL) > maxURLBytes:
		return invalid("url", "url must be 1 to %d bytes", maxURLBytes)
	case len(req.Events) == 0:
		return invalid("events", "events must name at least one of %v", state.WebhookEvents())
	case len(req.Secret) > maxWebhookSecretSize || !printable(req.Secret):
		return invalid("secret", "secret must be at most %d printable ASCII characters: it is sent in a header", maxWebhookSecretSize)
	case utf8.RuneCountInString(req.Description) > maxDescriptionRunes:
		return invalid("description", "description must be at most %d characters", maxDescriptionRunes)
	}
	var events []state.WebhookEvent
	for _, e := range state.WebhookEvents() {
		if slices.Contains(req.Events, string(e)) {
			events = append(events, e)
		}
	}
	for _, e := range req.Events {
		if !slices.Contains(events, state.WebhookEvent(e)) {
			return invalid("events", "events has %.40q; there are %v", e, state.WebhookEvents())
		}
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	made, err := a.Webhooks.Create(c.Request.Context(), caller, actors.NewWebhook{URL: req.URL, Events: events,
		Description: req.Description, Secret: req.Secret})
	if err == nil {
		c.JSON(http.StatusCreated, webhookOf(made))
	}
	return err
}

func printable(s string) bool {
	for _, b := range []byte(s) {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}

// listWebhooks serves GET /webhooks, newest first. Clients look for the list
// under two names.
func (a *API) listWebhooks(c *gin.Context) error {
	list := []wire.Webhook{}
	err := a.LookAll(c, func(v *state.View) error {
		found, err := v.Webhooks(door.CallerOf(c).Account)
		for _, w := range found.Items {
			list = append(list, webhookOf(w))
		}
		return err
	})
	if err == nil {
		c.JSON(http.StatusOK, wire.Webhooks{Webhooks: list, Data: list, Total: len(list)})
	}
	return err
}

// getWebhook serves GET /webhooks/:id.
func (a *API) getWebhook(c *gin.Context) error {
	id, err := door.ID(c, "id", "Webhook")
	if err != nil {
		return err
	}
	var found state.Webhook
	err = a.Look(c, func(v *state.View) (err error) {
		found, err = v.Webhook(door.CallerOf(c).Account, state.WebhookID(id))
		return err
	})
	if err == nil {
		c.JSON(http.StatusOK, webhookOf(found))
	}
	return err
}

// deleteWebhook serves DELETE /webhooks/:id.
func (a *API) deleteWebhook(c *gin.Context) error {
	id, err := door.ID(c, "id", "Webhook")
	if err != nil {
		return err
	}
	if err := a.Webhooks.Delete(c.Request.Context(), door.CallerOf(c), state.WebhookID(id)); err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"success": true})
	return nil
}

// webhookKey serves GET /webhooks/public_key.
func (a *API) webhookKey(c *gin.Context) error {
	key, err := a.Webhooks.PublicKey(c.Request.Context())
	if err == nil {
		c.JSON(http.StatusOK, gin.H{"publicKey": key, "public_key": key, "algorithm": "ed25519"})
	}
	return err
}
