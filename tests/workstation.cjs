// A workstation made with dcmjs-dimse, for tests/test_dimse_js.py: stores a file, or finds a study, has it moved to itself
// and gets it. It writes what it was told as JSON, one line each.
// usage: node workstation.cjs MODULE NODE_PORT OWN_PORT store FILE | fetch STUDY

const [module_, nodePort, ownPort, what, value] = process.argv.slice(2);
const dimse = require(module_);
const { Client, Server, Scp } = dimse;
const { CEchoRequest, CFindRequest, CGetRequest, CMoveRequest, CStoreRequest } = dimse.requests;
const { CStoreResponse } = dimse.responses;
const { PresentationContextResult, Status } = dimse.constants;

const say = (name, ...values) => console.log(JSON.stringify([name, ...values]));

function taken(how, request, callback) {
  say(how, request.getDataset().getElements().SOPInstanceUID, request.getMoveOriginatorAeTitle?.() ?? '');
  const response = CStoreResponse.fromRequest(request);
  response.setStatus(Status.Success);
  callback(response);
}

class Receiver extends Scp {
  associationRequested(association) {
    association.getPresentationContexts().forEach(({ context }) => {
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
    });
    this.sendAssociationAccept();
  }
  cStoreRequest(request, callback) {
    taken('moved', request, callback);
  }
  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

function ask(name, request) {
  return new Promise((resolve, reject) => {
    const client = new Client();
    request.on('response', (response) => {
      if (response.getStatus() !== Status.Pending) {
        say(name, response.getStatus());
      } else if (name === 'find') {
        say(name, response.getDataset().getElements().NumberOfStudyRelatedInstances);
      }
    });
    client.on('cStoreRequest', (one, callback) => taken('got', one, callback));
    client.on('networkError', reject);
    client.on('closed', resolve);
    client.addRequest(request);
    client.send('127.0.0.1', Number(nodePort), 'JS01', 'LETHE');
  });
}

async function main() {
  await ask('echo', new CEchoRequest());
  if (what === 'store') {
    await ask('store', new CStoreRequest(value));
    return;
  }
  const server = new Server(Receiver);
  server.listen(Number(ownPort));
  const wanted = { StudyInstanceUID: value, NumberOfStudyRelatedInstances: '' };
  await ask('find', CFindRequest.createStudyFindRequest(wanted));
  await ask('move', CMoveRequest.createStudyMoveRequest('JS01', value));
  await ask('get', CGetRequest.createStudyGetRequest(value));
  server.close();
}

main().then(
  () => process.exit(0),
  (error) => {
    say('error', String(error));
    process.exit(1);
  },
);
