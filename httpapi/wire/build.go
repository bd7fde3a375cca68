package wire

// Runtimes are language versions: those an environment has, by language.
type Runtimes struct {
	Runtimes map[string]string `json:"runtimes"`
}

// AvailableRuntimes are the versions that can be asked for.
type AvailableRuntimes struct {
	Runtimes map[string][]string `json:"runtimes"`
}

// SetRuntimes replaces an environment's runtimes.
type SetRuntimes struct {
	Runtimes Optional[map[string]string] `json:"runtimes,omitzero"`
}

// EnvironmentPackages are what is installed in an environment.
type EnvironmentPackages struct {
	Packages Packages `json:"packages"`
}

// InstallPackages adds packages of one type.
type InstallPackages struct {
	Type     string   `json:"type"`
	Packages []string `json:"packages"`
}

// ChangedPackages is the environment with what was installed or uninstalled.
type ChangedPackages struct {
	Environment Environment `json:"environment"`
	Installed   []string    `json:"installed,omitempty"`
	Uninstalled *string     `json:"uninstalled,omitempty"`
}

// Dockerfile is how an environment's image is made.
type Dockerfile struct {
	BaseImage            string  `json:"baseImage"`
	DockerfileExtensions *string `json:"dockerfileExtensions"`
	EffectiveDockerfile  string  `json:"effectiveDockerfile"`
}

// WriteDockerfile replaces the extensions, and the base image if it is there;
// null is none.
type WriteDockerfile struct {
	DockerfileExtensions Optional[string] `json:"dockerfileExtensions,omitzero"`
	BaseImage            Optional[string] `json:"baseImage,omitzero"`
}

// CheckedDockerfile is what a check without a build found.
type CheckedDockerfile struct {
	Valid               bool     `json:"valid"`
	Errors              []string `json:"errors"`
	Warnings            []string `json:"warnings"`
	EffectiveDockerfile string   `json:"effectiveDockerfile"`
}

// StartBuild asks for an image. Force builds also what is up to date.
type StartBuild struct {
	Force bool `json:"force,omitempty"`
}

// StartedBuild is the reply to that, in the words of clients of all ages.
type StartedBuild struct {
	Message       string  `json:"message"`
	EnvironmentID string  `json:"environmentId"`
	BuildStatus   string  `json:"buildStatus"`
	Status        string  `json:"status"` // the same
	BuildID       *string `json:"buildId"`
	ImageTag      *string `json:"imageTag"` // of the newest good image
	Success       bool    `json:"success"`
}

// BuildStatus is what is known of an environment's image.
type BuildStatus struct {
	BuildStatus string  `json:"buildStatus"` // pending, building, ready, failed
	BuildHash   *string `json:"buildHash"`
	BuildError  *string `json:"buildError"`
	BuildID     *string `json:"buildId"` // of the newest build
	ImageTag    *string `json:"imageTag"`
	LastBuildAt *Time   `json:"lastBuildAt"`
}

// BuildLogs is what the newest build has said so far.
type BuildLogs struct {
	BuildLogs   string  `json:"buildLogs"`
	Logs        string  `json:"logs"` // the same
	BuildID     *string `json:"buildId"`
	BuildStatus string  `json:"buildStatus"`
}

// TestedBuild is how a build came out that keeps nothing.
type TestedBuild struct {
	Success  bool    `json:"success"`
	ImageTag *string `json:"imageTag,omitempty"`
	Message  *string `json:"message,omitempty"`
	Error    *string `json:"error,omitempty"`
	Logs     string  `json:"logs"`
	Duration int64   `json:"duration"` // ms
}

// Types of a build log's events.
const (
	BuildLog       = "build.log"
	BuildCompleted = "build.completed"
)

// BuildEvent is a line of a build log's stream.
type BuildEvent struct {
	Type        string  `json:"type"`
	BuildID     string  `json:"buildId"`
	Timestamp   *Time   `json:"timestamp,omitempty"`
	Text        string  `json:"text,omitempty"`
	BuildStatus string  `json:"buildStatus,omitempty"` // of the environment, when the build has ended
	BuildError  *string `json:"buildError,omitempty"`
	ImageTag    *string `json:"imageTag,omitempty"`
}

// EnvironmentConfig is a text that an environment's user keeps with it.
type EnvironmentConfig struct {
	Config string `json:"config"`
}

// WriteEnvironmentConfig replaces it.
type WriteEnvironmentConfig struct {
	Config *string `json:"config"`
}
