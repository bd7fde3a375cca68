package actors

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"sync"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Webhooks are addresses that are told what an account's tasks do. Every node
// answers for them; the one that leads delivers.
type Webhooks struct {
	cluster Cluster
	vault   vault
	signer  *webhookSigner
	insides bool // addresses inside may be named, and then without TLS
}

// NewWebhook asks for one.
type NewWebhook struct {
	URL         string
	Events      []state.WebhookEvent
	Description string
	Secret      string // sent with each delivery; "" is none
}

// Create makes a webhook; the same address again finds the one that is there.
func (w *Webhooks) Create(ctx context.Context, c Caller, n NewWebhook) (state.Webhook, error) {
	if err := w.check(n.URL); err != nil {
		return state.Webhook{}, err
	}
	hook := state.Webhook{ID: newID[state.WebhookID]("hook"), Account: c.Account, URL: n.URL, Events: n.Events, Description: n.Description}
	if n.Secret != "" {
		var err error
		if hook.Sealed, err = w.vault.sealer.Seal(webhookAAD(hook), []byte(n.Secret)); err != nil {
			return hook, fmt.Errorf("seal the secret of a webhook: %w", err)
		}
	}
	made, err := propose[state.Made](ctx, w.cluster, state.CreateWebhook{Webhook: hook, Idempotency: c.Idempotency})
	if err != nil {
		return hook, err
	}
	return applied(w.cluster, func(v *state.View) (state.Webhook, error) {
		return v.Webhook(c.Account, state.WebhookID(made.Resource.ID))
	})
}

func webhookAAD(w state.Webhook) []byte {
	return state.SealedAs(w.Account, state.SealedWebhook, string(w.ID))
}

// check refuses what nothing could be sent to safely. Where the address leads is
// looked at whenever something is sent.
func (w *Webhooks) check(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return fault.New(fault.Invalid, "url must be an https URL without a user or a fragment").WithField("url")
	case u.Scheme != "https" && !(u.Scheme == "http" && w.insides):
		return fault.New(fault.Invalid, "url must begin with https://").WithField("url")
	}
	return nil
}

// Delete removes a webhook.
func (w *Webhooks) Delete(ctx context.Context, c Caller, id state.WebhookID) error {
	_, err := w.cluster.Apply(ctx, state.DeleteWebhook{Account: c.Account, Webhook: id})
	return err
}

// PublicKey is what signatures of deliveries are checked with: ed25519, as PEM.
func (w *Webhooks) PublicKey(ctx context.Context) (string, error) {
	key, err := w.signer.key(ctx)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", fmt.Errorf("write the public key of webhooks: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// webhookSigner has the key that all nodes of a cluster sign deliveries with.
type webhookSigner struct {
	cluster Cluster
	sealer  Sealer

	mu     sync.Mutex
	shared ed25519.PrivateKey // once known, for good
}

const webhookSecretName = "webhooks"

// key reads the key; the first node asked makes it.
func (s *webhookSigner) key(ctx context.Context) (ed25519.PrivateKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared != nil {
		return s.shared, nil
	}
	aad := state.SecretSealedAs(webhookSecretName)
	record, err := applied(s.cluster, func(v *state.View) (state.Secret, error) {
		r, _, err := v.Secret(webhookSecretName)
		return r, err
	})
	if err == nil && record.Sealed == nil {
		record.Sealed, err = s.make(ctx, aad)
	}
	if err != nil {
		return nil, err
	}
	seed, err := s.sealer.Open(aad, record.Sealed)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("open the key of webhooks, of %d bytes: %w", len(seed), err)
	}
	s.shared = ed25519.NewKeyFromSeed(seed)
	return s.shared, nil
}

func (s *webhookSigner) make(ctx context.Context, aad []byte) ([]byte, error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	sealed, err := s.sealer.Seal(aad, seed)
	if err != nil {
		return nil, fmt.Errorf("seal the key of webhooks: %w", err)
	}
	return propose[[]byte](ctx, s.cluster, state.SetSecret{Secret: state.Secret{Name: webhookSecretName, Sealed: sealed}})
}
