// Copyright: (c) 2026, the dcm.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

// Command controllers is what of Argo CD keeps clusters in shape: the application controller, the ApplicationSet
// controller and the repository server, without its API server and user interface. It is each of them under that one's
// name, which is the last part of the path it is started by.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	application "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	applicationset "github.com/argoproj/argo-cd/v3/cmd/argocd-applicationset-controller/commands"
	askpass "github.com/argoproj/argo-cd/v3/cmd/argocd-git-ask-pass/commands"
	reposerver "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
	"github.com/spf13/cobra"
)

var commands = map[string]func() *cobra.Command{
	"argocd-application-controller":    application.NewCommand,
	"argocd-applicationset-controller": applicationset.NewCommand,
	"argocd-git-ask-pass":              askpass.NewCommand,
	"argocd-repo-server":               reposerver.NewCommand,
}

func main() {
	name := filepath.Base(os.Args[0])
	make, known := commands[name]
	if !known {
		fmt.Fprintf(os.Stderr, "controllers: started as %q, which is no program of Argo CD that is in here\n", name)
		os.Exit(1)
	}
	if err := make().Execute(); err != nil {
		os.Exit(1) // cobra has said why
	}
}
