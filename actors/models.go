package actors

import (
	"errors"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/actors/agent/catalog"
	"github.com/bothy-computer/bothy/actors/agent/tokens"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Models are the models that agents and messages may name.
type Models struct {
	catalog *catalog.Catalog
	counter *tokens.Counter
}

// NewModels answers from a catalog.
func NewModels(c *catalog.Catalog) Models { return Models{c, tokens.New()} }

// Names lists every model, in the order of the list.
func (m Models) Names() []string {
	var names []string
	for _, model := range m.catalog.Models() {
		names = append(names, model.Name)
	}
	return names
}

// Default is the model of a message that names none.
func (m Models) Default() string { return m.catalog.Default() }

// Listed refuses a model that is not in the list, in the words clients know.
func (m Models) Listed(name string) error { return modelFault(m.catalog.Validate(name)) }

// Ready refuses a model that cannot be called here.
func (m Models) Ready(name string) error {
	_, _, err := m.catalog.Open(name)
	return modelFault(err)
}

func modelFault(err error) error {
	var e *agent.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e) && e.Kind == agent.UnknownModel:
		return fault.New(fault.Invalid, "%s", e.Message).WithField("model")
	case errors.As(err, &e) && e.Kind == agent.NotConfigured:
		return fault.New(fault.Unavailable, "%s", e.Message).WithCode(catalog.NotConfiguredCode).WithField("model")
	}
	return err
}

// free reports whether a model's calls cost nothing.
func (m Models) free(name string) bool {
	model, known := m.catalog.Model(name)
	return known && model.Price.Zero()
}

// estimate is the most that the next call of a transcript can cost, and what
// is due even if its answer is lost.
func (m Models) estimate(config state.RunConfig, k kit, entries []agent.Entry) (*state.Reservation, error) {
	client, model, err := m.catalog.Open(config.Model)
	if err != nil {
		return nil, modelFault(err)
	}
	if model.Price.Zero() {
		return nil, nil
	}
	input := m.counter.Request(client.Vendor(), request(config, model, k, entries))
	most, err := model.Price.Reserve(input, model.MaxOutputTokens)
	if err != nil {
		return nil, err
	}
	floor, err := model.Price.Reserve(input, 0)
	if err != nil {
		return nil, err
	}
	return &state.Reservation{ID: newID[state.ReservationID]("resv"), Model: config.Model, Amount: state.MicroUSD(most), Floor: state.MicroUSD(floor)}, nil
}

// request is a model call for a transcript.
func request(config state.RunConfig, model catalog.Model, k kit, entries []agent.Entry) agent.Request {
	req := agent.Request{
		Model: model.VendorName, Instructions: instructions(config, k), Entries: agent.View(entries), Tools: k.tools,
		MaxOutputTokens: model.MaxOutputTokens, Reasoning: model.Reasoning, Effort: agent.Effort(config.ReasoningEffort),
	}
	if !model.Pictures {
		return req.WithPictures(func(agent.Picture) ([]byte, bool) { return nil, false })
	}
	return req
}

// standing is what every model is told of where it works.
const standing = `You are an agent with a computer of your own: a Linux machine that keeps its files between messages.
Your tools run there, as an unprivileged user who may use sudo where it is installed. Your working directory is %DIR%; files there are what the user sees.
Do the work with your tools rather than describing it, check that it works, and then say briefly what you did.`

// instructions are the standing ones, the agent's own, and what is to be known
// of its tools.
func instructions(config state.RunConfig, k kit) string {
	dir := config.Workdir
	if dir == "" {
		dir = workspaceDir
	}
	text := replaceDir(standing, dir)
	if config.Instructions != "" {
		text += "\n\n" + config.Instructions
	}
	if k.about != "" {
		text += "\n\n" + k.about
	}
	if about := aboutSkills(config.Skills); about != "" {
		text += "\n\n" + about
	}
	return text
}
