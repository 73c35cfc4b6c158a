// The smallstep certificate authority, as far as Debian carries it: the library without its programs.
//
// One program under two names: `step-ca` is the server with the library's own command line, `step` makes a new
// authority as `step ca init` does, with the library's own code. Debian's build of the database layer has no badger,
// so a new authority keeps its state in bbolt; nothing else differs from what the vendor ships.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/smallstep/certificates/cas/apiv1"
	"github.com/smallstep/certificates/commands"
	"github.com/smallstep/certificates/pki"
	"github.com/smallstep/cli-utils/step"
	"github.com/urfave/cli"

	_ "github.com/smallstep/certificates/cas/softcas"
)

type list []string

func (l *list) String() string         { return strings.Join(*l, ",") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

func main() {
	args := os.Args[1:]
	err := step.Init()
	switch {
	case err != nil:
	case filepath.Base(os.Args[0]) == "step-ca":
		err = serve()
	case len(args) > 0 && args[0] == "version":
		fmt.Println("step of the smallstep library")
	case len(args) > 1 && args[0] == "ca" && args[1] == "init":
		err = found(args[2:])
	default:
		err = fmt.Errorf("only `version` and `ca init` are here, not %v", args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve runs the server's command line as the vendor's program does: flags may follow the configuration file.
func serve() error {
	flags := flag.NewFlagSet("step-ca", flag.ContinueOnError)
	if err := flags.Parse(os.Args); err != nil {
		return err
	}
	return commands.AppCommand.Run(cli.NewContext(cli.NewApp(), flags, nil))
}

func found(args []string) error {
	var names list
	flags := flag.NewFlagSet("step ca init", flag.ContinueOnError)
	deployment := flags.String("deployment-type", "", "")
	name := flags.String("name", "", "")
	address := flags.String("address", "", "")
	provisioner := flags.String("provisioner", "", "")
	passwordFile := flags.String("password-file", "", "")
	provisionerFile := flags.String("provisioner-password-file", "", "")
	flags.Var(&names, "dns", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *deployment != "standalone" || flags.NArg() != 0 {
		return fmt.Errorf("not understood: %v", args)
	}
	password, err := secret(*passwordFile)
	if err != nil {
		return err
	}
	provisionerPassword, err := secret(*provisionerFile)
	if err != nil {
		return err
	}
	softCas := apiv1.Options{Type: apiv1.SoftCAS, IsCreator: true}
	made, err := pki.New(softCas, pki.WithAddress(*address), pki.WithDNSNames(names),
		pki.WithProvisioner(*provisioner), pki.WithDeploymentType(pki.StandaloneDeployment))
	if err != nil {
		return err
	}
	if err := made.GenerateKeyPairs(provisionerPassword); err != nil {
		return err
	}
	root, err := made.GenerateRootCertificate(*name, *name, *name, password)
	if err != nil {
		return err
	}
	if err := made.GenerateIntermediateCertificate(*name, *name, *name, root, password); err != nil {
		return err
	}
	if err := made.Save(); err != nil {
		return err
	}
	return keepInBolt(made.GetCAConfigPath(), pki.GetDBPath())
}

// keepInBolt changes the kind of database, which for bbolt is a file.
func keepInBolt(config, directory string) error {
	text, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	text = bytes.Replace(text, []byte(`"badgerv2"`), []byte(`"bbolt"`), 1)
	file := fmt.Sprintf("%q", filepath.Join(directory, "bolt"))
	text = bytes.Replace(text, []byte(fmt.Sprintf("%q", directory)), []byte(file), 1)
	return os.WriteFile(config, text, 0o600)
}

func secret(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	return bytes.TrimRight(text, "\r\n"), err
}
